"""Where Docker listens, known without loading Docker's library."""

DOCKER_SOCKET = "/var/run/docker.sock"
