; A matrix product whose sums become 8-bit codes again: what every layer of integer training does.
;
;   sums[r][j]  = sum over k of a[r][k] * b[k][j]                 exact, in 32-bit registers
;   n           = round(log2(the greatest |sum|)) - 6             the codes' greatest lie between 64 and 91, or are clipped
;   codes[r][j] = sums[r][j] * 2^-n, ties to even, held to -127..127
;
;   wagesim run programs/requantise-product.s --input in.safetensors --output out.safetensors

.tensor {"name":"a","bits":8,"signed":true,"shape":[16,64]}
.tensor {"name":"b","bits":8,"signed":true,"shape":[64,32]}
.tensor {"name":"sums","bits":32,"signed":true,"shape":[16,32]}
.tensor {"name":"codes","bits":8,"signed":true,"shape":[16,32]}

.const ROWS = dim(a, 0)
.const DEPTH = dim(a, 1)
.const COLUMNS = dim(b, 1)

; Parts of the scratchpads: where is the assembler's matter.
.place left = operand bytes=sizeof(a)
.place out = operand bytes=sizeof(codes)
.place right = weight bytes=sizeof(b)
.place acc = accumulator bytes=sizeof(sums)

.reg greatest = x1
.reg exponent = x2

main:
    ; Registers of 32 bits: 64 products of 8-bit codes need 21.
    mode dst=m0 bits=32 overflow=trap outer_bits=32

    load dst=left src=a bytes=sizeof(a)
    load dst=right src=b bytes=sizeof(b)

    ; A dense product is a window of one pixel: each row of `a` is an image, its elements are channels. Channel k of
    ; `b` lies COLUMNS elements behind channel k-1.
    m.taps out=acc out_format=32 left=left left_format=8 right=right right_format=8 mode=m0 images=ROWS channels=DEPTH rows=ROWS columns=COLUMNS length=DEPTH image_stride=DEPTH pixel_stride=DEPTH right_stride_2=COLUMNS out_stride=COLUMNS

    ; One register rises to the greatest magnitude, another is its logarithm. Only shifts read scale registers, so no
    ; address and no trip count ever depends on data.
    x.set dst=greatest value=0
    v.maxabs dst=greatest src=acc src_format=32 count=elements(sums)
    x.exponent dst=exponent a=greatest
    v.shift dst=out dst_format=8 src=acc src_format=32 shift=-6 scale=exponent bits=8 count=elements(codes)

    store dst=sums src=acc bytes=sizeof(sums)
    store dst=codes src=out bytes=sizeof(codes)
    halt
