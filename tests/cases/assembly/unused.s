; Names that nothing uses are warnings; a tensor is the host's as well.
.const N = 4
.reg row = s1
.tensor {"name":"a","bits":8,"signed":true,"shape":[64]}
.macro nothing
.endm
main:
    halt
