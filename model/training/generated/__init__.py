"""Generated training data: vectors of rare classes, by a GAN or by noise. Experimental."""
