; Names for numbers, registers and places; what is assembled stands beside this file.
.const N = 4
.const BYTES = (N << 4) + 100 % 7 * 2 - 16/2
.reg row = s3
.reg greatest = x1
.reg wide = m2
.reg hits = c5
.tensor {"name":"a","bits":8,"signed":true,"shape":[16,64]}
.tensor {"name":"layer.0.sums","bits":32,"signed":true,"shape":[16,4]} ; behind `a`
.place codes = operand bytes=sizeof(a)
.place more = operand bytes=100
.place sums = accumulator[0x40] bytes=sizeof(layer.0.sums)
.place second = codes[64] bytes=64
.place half = a[512] bytes=512
main:
    set dst=row value=second
    loop count=elements(a)/dim(a, 1)
        load dst=codes[row+1] src=a bytes=dim(a,0)
        addi dst=row a=row value=bits(a)
    end
    load dst=more src=half bytes=more & 0xf0 | 1   # a place in a number is its first byte
    mode dst=wide bits=32 overflow=saturate outer_bits=32
    v.maxabs dst=greatest src=sums src_format=bits(layer.0.sums) count=elements(layer.0.sums)
    v.sumsq dst=hits src=sums[4] src_format=32 count=BYTES
    store dst=layer.0.sums src=sums bytes=sizeof(sums)
    halt
