"""`python -m keras_faramtn`: the command `faramtn`."""

from keras_faramtn.cli import main

if __name__ == "__main__":
    main()
