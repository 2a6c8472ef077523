.const N = 16
.place codes = operand bytes=N
