.const WIDTH = 8
