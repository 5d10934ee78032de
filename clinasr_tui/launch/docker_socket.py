"""What is known of Docker without loading its library: where it listens, how it gets at GPUs."""

DOCKER_SOCKET = "/var/run/docker.sock"
NVIDIA_RUNTIME = (
    "Install nvidia-container-toolkit, run `nvidia-ctk runtime configure --runtime=docker`, restart docker"
)
"""What to do where Docker knows no NVIDIA runtime."""
