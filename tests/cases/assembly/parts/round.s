.include "inner/back.s"
