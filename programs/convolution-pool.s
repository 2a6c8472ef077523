; A convolution with pooling and ReLU, image by image: the forward pass of a layer.
;
;   sums    = images * weights            3x3 window, zeros around the image, exact in 32-bit registers
;   maxima  = the greatest of each 2x2    and where in its window it stood (0 to 3): the way back needs it
;   codes   = max(maxima, 0) * 2^-SHIFT   ties to even, held to -127..127
;
;   wagesim run programs/convolution-pool.s --input in.safetensors --output out.safetensors
;
; Images are [image, row, column, channel], weights [row, column, channel, filter]: the last index is the fastest.

.tensor {"name":"images","bits":8,"signed":true,"shape":[4,8,8,3]}
.tensor {"name":"weights","bits":2,"signed":true,"shape":[3,3,3,8]}
.tensor {"name":"codes","bits":8,"signed":true,"shape":[4,4,4,8]}
.tensor {"name":"places","bits":2,"signed":false,"shape":[4,4,4,8]}

.const IMAGES   = dim(images, 0)
.const HEIGHT   = dim(images, 1)
.const WIDTH    = dim(images, 2)
.const CHANNELS = dim(images, 3)
.const WINDOW   = dim(weights, 0)
.const FILTERS  = dim(weights, 3)
.const OUT_ROWS = HEIGHT/2                       ; after pooling
.const OUT_COLS = WIDTH/2
.const OUTPUTS  = OUT_ROWS*OUT_COLS*FILTERS      ; of one image
.const SHIFT    = 4                              ; k_W - 1 + s of the contract, for codes of 2-bit weights

; Bytes of one image, as it comes and as it goes.
.const IMAGE_BYTES  = sizeof(images)/IMAGES
.const CODE_BYTES   = sizeof(codes)/IMAGES
.const PLACE_BYTES  = sizeof(places)/IMAGES      ; two bits a place: four in a byte

.place image  = operand bytes=IMAGE_BYTES
.place filter = weight bytes=sizeof(weights)
.place sums   = accumulator bytes=4*HEIGHT*WIDTH*FILTERS
.place maxima = accumulator bytes=4*OUTPUTS
.place where  = mask bytes=PLACE_BYTES
.place out    = operand bytes=CODE_BYTES

; Only the program's own numbers go into these: they walk over the images, whatever the images hold.
.reg from      = s1                              ; first byte of the image
.reg to        = s2                              ; of its codes
.reg to_places = s3

; A convolution of stride 1 that keeps the image's size: `pad` zeros lie around the image, written nowhere.
.macro convolve out left right height width channels filters window pad mode=m0
    m.taps out=out out_format=32 left=left left_format=8 right=right right_format=bits(weights) mode=mode out_rows=height out_cols=width tap_rows=window tap_cols=window channels=channels rows=height*width columns=filters length=window*window*channels height=height width=width pad_top=pad pad_left=pad row_stride=width*channels pixel_stride=channels right_stride_0=window*channels*filters right_stride_1=channels*filters right_stride_2=filters out_stride=filters
.endm

; Maxima of 2x2 windows, side by side.
.macro pool_by_two dst place src height width channels
    v.pool dst=dst src=src format=32 place=place place_format=2 images=1 out_rows=height/2 out_cols=width/2 channels=channels window=2 step=2 row_stride=width*channels image_stride=height*width*channels
.endm

main:
    mode dst=m0 bits=32 overflow=trap outer_bits=32
    load dst=filter src=weights bytes=sizeof(weights)
    set dst=from value=images                    ; a tensor in a number is its first byte
    set dst=to value=codes
    set dst=to_places value=places
    loop count=IMAGES
        load dst=image src=dram[from] bytes=IMAGE_BYTES
        convolve out=sums left=image right=filter height=HEIGHT width=WIDTH channels=CHANNELS filters=FILTERS window=WINDOW pad=WINDOW/2
        pool_by_two dst=maxima place=where src=sums height=HEIGHT width=WIDTH channels=FILTERS
        v.relu dst=maxima src=maxima format=32 count=OUTPUTS
        v.shift dst=out dst_format=8 src=maxima src_format=32 shift=SHIFT bits=8 count=OUTPUTS
        store dst=dram[to] src=out bytes=CODE_BYTES
        store dst=dram[to_places] src=where bytes=PLACE_BYTES
        addi dst=from a=from value=IMAGE_BYTES
        addi dst=to a=to value=CODE_BYTES
        addi dst=to_places a=to_places value=PLACE_BYTES
    end
    halt
