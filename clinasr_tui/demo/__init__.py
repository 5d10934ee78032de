"""The bundled cycle and the recorded run's replay."""
