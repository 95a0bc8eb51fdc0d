"""Loads the library, and expects an error that says why there can be no worker processes."""

import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
library.submit.restype = ctypes.c_size_t
library.submit.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
text = ctypes.create_string_buffer(4096)
length = library.submit(text, 4096)
said = text.raw[:length].decode()
print(said)
sys.exit("shared library" not in said)
