; Macros: arguments are values, names within are the macro's own.
.const N = 3
.reg x_max = x1
.tensor {"name":"a","bits":8,"signed":true,"shape":[64]}
.place codes = operand bytes=64

.macro fetch to from
    load dst=to src=from bytes=sizeof(from)
.endm

.macro shifted src by=2 rounding=even times=1 keep
    .const N = by*2                 ; not the text's N
    .place scratch = operand bytes=16
    loop count=times
        v.shift dst=scratch dst_format=8 src=src src_format=8 shift=N scale=x_max bits=8 rounding=rounding count=16
    end
    v.mask dst=scratch src=scratch format=8 states=mask[0] keep=keep count=16
.endm

.macro both src
    fetch to=src from=a
    shifted src=src by=N+1 keep      ; the text's N
    shifted src=src[16] rounding=up times=3 keep=0
.endm

main:
    both src=codes
    fetch to=operand[s1 + 4], from=a
    halt
