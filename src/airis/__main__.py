"""``python -m airis`` is the same as the ``airis`` command."""

from airis.service.cli import main

if __name__ == "__main__":
    main()
