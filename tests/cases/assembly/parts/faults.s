.const M = 3x
.macro broken count
    v.relu dst=codes src=codes format=8 cnt=count
.endm
.include "inner/missing.s"
.macro twice
.include "inner/missing.s"
.endm
