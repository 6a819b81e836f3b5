"""Training of the embedded codec: `python -m neucodec.training RECIPE FOLDER`."""
