"""TODO model/towers."""
