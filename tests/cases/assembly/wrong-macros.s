; An error within a macro shows the line in it and where it was used; each line is told once.
.macro inner format
    v.fill dst=operand[0] dst_format=format count=1
    loop count=2
.endm
.macro outer
    inner format=80
    inner format=8
    outer
.endm
.macro labelled
here:
    .tensor {"name":"b","bits":8,"shape":[4]}
    end
.endm
.macro v.fill a
.endm
.macro inner b
.endm
.macro twice a a
    halt
.endm
.macro taking count by=2
    addi dst=s1 a=s1 value=count*by
.endm
main:
    outer
    labelled
    twice
    taking
    taking cuont=1
    taking count=evn
    taking count=even
    taking count=1 count=2
    taking 3
    takin count=3
    halt
.endm
.macro open
    halt
