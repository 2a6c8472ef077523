; A matrix product whose sums become 8-bit codes again: what every layer of integer training does.
;
;   sums[r][j]  = sum over k of a[r][k] * b[k][j]                 exact, in 32-bit registers
;   n           = round(log2(the greatest |sum|)) - 6             the codes' greatest lie between 64 and 91, or are clipped
;   codes[r][j] = sums[r][j] * 2^-n, ties to even, held to -127..127
;
;   wagesim run programs/requantise-product.s --input in.safetensors --output out.safetensors

.const ROWS = 16
.const DEPTH = 64
.const COLUMNS = 32

.tensor {"name":"a","bits":8,"signed":true,"shape":[16,64]}
.tensor {"name":"b","bits":8,"signed":true,"shape":[64,32]}
.tensor {"name":"sums","bits":32,"signed":true,"shape":[16,32]}
.tensor {"name":"codes","bits":8,"signed":true,"shape":[16,32]}

main:
    ; Registers of 32 bits: 64 products of 8-bit codes need 21.
    mode dst=m0 bits=32 overflow=trap outer_bits=32

    ; A tensor's name is its address in DRAM.
    load dst=operand[0] src=dram[a] bytes=ROWS*DEPTH
    load dst=weight[0] src=dram[b] bytes=DEPTH*COLUMNS

    ; A dense product is a window of one pixel: each row of `a` is an image, its elements are channels. Channel k of
    ; `b` lies COLUMNS elements behind channel k-1.
    m.taps out=accumulator[0] out_format=32 left=operand[0] left_format=8 right=weight[0] right_format=8 mode=m0 images=ROWS channels=DEPTH rows=ROWS columns=COLUMNS length=DEPTH image_stride=DEPTH pixel_stride=DEPTH right_stride_2=COLUMNS out_stride=COLUMNS

    ; x1 rises to the greatest magnitude, x2 is its logarithm. Only shifts read scale registers, so no address and no
    ; trip count ever depends on data.
    x.set dst=x1 value=0
    v.maxabs dst=x1 src=accumulator[0] src_format=32 count=ROWS*COLUMNS
    x.exponent dst=x2 a=x1
    v.shift dst=operand[0] dst_format=8 src=accumulator[0] src_format=32 shift=-6 scale=x2 bits=8 count=ROWS*COLUMNS

    store dst=dram[sums] src=accumulator[0] bytes=4*ROWS*COLUMNS
    store dst=dram[codes] src=operand[0] bytes=ROWS*COLUMNS
    halt
