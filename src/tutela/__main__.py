"""`python -m tutela`."""

from tutela.cli import program

if __name__ == "__main__":
    program()
