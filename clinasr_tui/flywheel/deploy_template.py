"""The text of deploy.sh: how the commands of `deploy_script` follow each other, and what may go wrong.

Fields in braces are filled in there; a brace of the shell's own is doubled.
"""

from __future__ import annotations

SCRIPT = """\
#!/usr/bin/env bash
# Builds a Riva NIM from a tuned model and serves it. Run it on the machine that will serve:
#   ./deploy.sh [build | serve | ready]      (no word: all of it)
# Mind:
{warnings}
set -euo pipefail

MODEL=${{MODEL:-{default_model}}}
ARTIFACT_DIR=${{ARTIFACT_DIR:-{default_artifact_dir}}}
NIM_EXPORT_PATH=${{NIM_EXPORT_PATH:-{default_nim_export_path}}}
CONTAINER_ID=${{CONTAINER_ID:-{container_id}}}
IMAGE=${{IMAGE:-{registry}/$CONTAINER_ID:latest}}
archive=$NIM_EXPORT_PATH/{archive}

say() {{ printf '%s\\n' "$*" >&2; }}

# What this call made and must not leave: the folder of a login, the build container by its id.
login=
started=
tidy() {{
  if [ -n "$login" ]; then rm -rf "$login"; fi
  if [ -n "$started" ]; then docker rm --force "$started" >/dev/null 2>&1 || true; fi
}}
trap tidy EXIT

runs() {{ [ -n "$(docker ps --quiet --filter "name=^$1\\$")" ]; }}

refuse_while_it_runs() {{
  if runs "$1"; then say "$1 runs already, $2: docker rm --force $1 ends it"; exit 1; fi
}}
no_second_build() {{ refuse_while_it_runs {builder} 'another build perhaps'; }}
no_second_service() {{ refuse_while_it_runs {server} 'and keeps what it serves until it is replaced'; }}

# A container that has ended keeps its name. Without --force one that runs stays.
make_room() {{ docker rm "$1" >/dev/null 2>&1 || true; }}

need_curl() {{
  if ! command -v curl >/dev/null; then say 'curl is not here: ready asks with it. Install it'; exit 2; fi
}}

need_image() {{
  if [ -z "${{{key}:-}}" ]; then say '{key} is not set: export your NGC key'; exit 2; fi
  export {key}
  if docker image inspect "$IMAGE" >/dev/null 2>&1; then return; fi
  # The key goes by standard input into a login of its own, so no process list shows it. Its folder is
  # gone once the image is here. It knows your contexts, so the image comes to the engine you use.
  login=$(mktemp -d)
  config=${{DOCKER_CONFIG:-~/.docker}}
  ln -s "$config/contexts" "$login/contexts"
  engine=(docker --config "$login" --context "$(docker context inspect --format '{{{{.Name}}}}')")
  printf '%s' "${key}" |
    "${{engine[@]}}" login nvcr.io --username "\\$oauthtoken" --password-stdin >/dev/null
  "${{engine[@]}}" pull "$IMAGE"
  rm -rf "$login"
  login=
}}

build() {{
  if [ ! -f "$MODEL" ]; then say "MODEL is no file: $MODEL"; exit 2; fi
  no_second_build
  need_image
  say 'Making the folders, owned by 1000:1000 as whoever works in the container'
  {prepare} 2>/dev/null || sudo {prepare}
  # Nothing is served of an older build once this one has begun.
  rm -f "$archive" 2>/dev/null || sudo rm -f "$archive"
  make_room {builder}
  # Docker tells the id of what it made, also where it could not start it.
  started=$({enter})
  usage=$(docker exec {builder} riva-build -h 2>&1 || true)
  case "$usage" in
    *--decoder_type*) say 'This image has the classic riva-build: choose a newer one'; exit 1 ;;
  esac
  say 'Building the RMIR'
  {build}
  say 'Building the engines for this GPU: this takes minutes'
  {deploy}
  say 'Packing'
  {tar}
  {leave} >/dev/null
  started=
}}

serve() {{
  if [ ! -f "$archive" ]; then say 'Nothing is built yet: ./deploy.sh build'; exit 2; fi
  no_second_service
  need_image
  make_room {server}
  {serve} >/dev/null
}}

ready() {{
  need_curl
  say 'Waiting until it is ready'
  for _ in $(seq "${{READY_TRIES:-120}}"); do
    if ! runs {server}; then
      say 'It does not run: docker logs {server} tells why it ended, ./deploy.sh serve starts it'
      exit 1
    fi
    if {ready} 2>/dev/null; then
      say ''
      say 'Ready. Now check what it serves:'
{checks}
      return
    fi
    sleep 10
  done
  say 'It is not ready: docker logs {server} tells why'
  exit 1
}}

case "${{1:-all}}" in
  build) build ;;
  serve) serve ;;
  ready) ready ;;
  # What would end it after an hour of building is asked first.
  all) need_curl; no_second_service; build; serve; ready ;;
  *) say 'usage: deploy.sh [build | serve | ready]'; exit 2 ;;
esac
"""
