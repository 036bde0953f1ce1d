"""Linear models over pooled features of each modality: the floor that a network has to beat."""
