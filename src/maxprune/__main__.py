"""`python -m maxprune` is the command line too."""

from maxprune_start import main

if __name__ == "__main__":
    main()
