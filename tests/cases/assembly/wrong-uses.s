; Every error of a text is told, each where it stands.
.const N = 3x
.const N_TWICE = 1
.const N_TWICE = 2
.const operand = 3
.reg row = s32
.place big = operands bytes=4
.place none = operand
.const DEEP = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))
.tensr {"name":"a"}
.phase forwards 1
.tensor {"name":"b","bits":8,"shape":[4]} trailing
main:
    loop count=N        ; N was told above: no error here
    loop count=0x
        loop count=row + 1
    end
    ftch dst=operand[0]
    v.fill dst=operand[0] dst_format=65 count=1
main:
    end
    end
    end
    v.relu dst=operand[0] src=operand[0] format=8 cuont=1
    .probe {"tensor":"b"}
