; Max, shift, round: a tensor of any range becomes 8-bit codes that use their range, and nothing but its own greatest
; magnitude decides how far it is shifted. What training does to every error.
;
;   n       = round(log2(the greatest |value|)) - 7
;   codes   = values * 2^-n               ties to even, held to -127..127
;
;   wagesim run programs/requantise.s --input in.safetensors --output out.safetensors
;
; The values are many more than the accumulator memory need hold: the greatest of all must be known before the first is
; shifted, so every part comes twice. That is what the batch's maximum costs a machine.

.tensor {"name":"values","bits":32,"signed":true,"shape":[6,1024]}
.tensor {"name":"codes","bits":8,"signed":true,"shape":[6,1024]}

.const PARTS = dim(values, 0)
.const PART  = dim(values, 1)
.const BYTES = PART*bits(values)/8

.place part = accumulator bytes=BYTES
.place out  = operand bytes=PART

.reg from     = s1
.reg to       = s2
.reg greatest = x1                               ; scale registers: only shifts read them, so no address and no trip
.reg exponent = x2                               ; count can ever depend on data

main:
    ; First over all parts: the greatest magnitude. `v.maxabs` raises the register, it does not set it.
    x.set dst=greatest value=0
    set dst=from value=values
    loop count=PARTS
        load dst=part src=dram[from] bytes=BYTES
        v.maxabs dst=greatest src=part src_format=bits(values) count=PART
        addi dst=from a=from value=BYTES
    end

    ; The logarithm, rounded to the nearest whole number; 0 where all values are 0, and then nothing is lost by a shift.
    x.exponent dst=exponent a=greatest

    ; Again over all parts: shift, round, clip. A shift below 0 is one to the left, and exact.
    set dst=from value=values
    set dst=to value=codes
    loop count=PARTS
        load dst=part src=dram[from] bytes=BYTES
        v.shift dst=out dst_format=8 src=part src_format=bits(values) shift=-7 scale=exponent bits=8 count=PART
        store dst=dram[to] src=out bytes=PART
        addi dst=from a=from value=BYTES
        addi dst=to a=to value=PART
    end
    halt
