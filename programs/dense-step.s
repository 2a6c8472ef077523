; One training step of a dense layer, the last of its net: forward, error, gradient, stochastic update. The contract's
; arithmetic (isa/arithmetic.md) for 2-bit weights, 8-bit activations, errors and stored weights.
;
;   wagesim run programs/dense-step.s --seed 7 --input in.safetensors --output out.safetensors
;
; `weights` holds the stored weights before and after. The other tensors show what the step came to.

.tensor {"name":"inputs","bits":8,"signed":true,"shape":[16,64]}
.tensor {"name":"labels","bits":16,"signed":false,"shape":[16]}
.tensor {"name":"weights","bits":8,"signed":true,"shape":[64,10],"kept":true}
.tensor {"name":"outputs","bits":32,"signed":true,"shape":[16,10]}
.tensor {"name":"errors","bits":8,"signed":true,"shape":[16,10]}
.tensor {"name":"below","bits":32,"signed":true,"shape":[16,64]}
.tensor {"name":"gradient","bits":32,"signed":true,"shape":[64,10]}
.tensor {"name":"steps","bits":8,"signed":true,"shape":[64,10]}

.const IMAGES    = dim(inputs, 0)
.const INPUTS    = dim(weights, 0)
.const CLASSES   = dim(weights, 1)
.const WEIGHTS   = elements(weights)
.const SCALE     = 2                             ; s of 64 inputs: round(log2(0.75 / sqrt(3/64)))
.const ONE       = 8 - 1 + 2 - 1 + SCALE         ; log2 of what an output of 1 is
.const LOG2_RATE = 3                             ; a learning rate of 8
.const LIMIT     = 1 << 6                        ; the greatest 2-bit code, 1, as a stored weight

.place a      = operand bytes=sizeof(inputs)
.place e_left = operand bytes=sizeof(errors)     ; errors as a left operand: for the layer below
.place stored = operand bytes=WEIGHTS
.place step   = operand bytes=WEIGHTS
.place t      = weight bytes=WEIGHTS/4           ; weights as used, two bits each
.place e      = weight bytes=sizeof(errors)      ; errors as a right operand: for the gradient
.place acc    = accumulator bytes=4*WEIGHTS
.place d      = accumulator bytes=sizeof(outputs)
.place label  = mask bytes=sizeof(labels)

.reg greatest = x1
.reg exponent = x2
.reg rate     = x3
.reg shift    = x4

; The exponent of the greatest magnitude of `count` accumulators.
.macro exponent_of src count
    x.set dst=greatest value=0
    v.maxabs dst=greatest src=src src_format=32 count=count
    x.exponent dst=exponent a=greatest
.endm

; A dense product: an image is one pixel whose channels are its inputs, the window is that pixel.
.macro dense out left right right_format images inputs outputs input_stride output_stride
    m.taps out=out out_format=32 left=left left_format=8 right=right right_format=right_format mode=m0 images=images channels=inputs rows=images columns=outputs length=inputs image_stride=inputs pixel_stride=inputs right_stride_2=input_stride column_stride=output_stride out_stride=outputs
.endm

main:
    mode dst=m0 bits=32 overflow=trap outer_bits=32
    load dst=a src=inputs bytes=sizeof(inputs)
    load dst=label src=labels bytes=sizeof(labels)
    load dst=stored src=weights bytes=sizeof(weights)

.phase forward 0
    ; Stored weights of 8 bits become weights of 2 bits: -1, 0 or 1.
    v.shift dst=t dst_format=2 src=stored src_format=8 shift=8-2 bits=2 count=WEIGHTS
    dense out=acc left=a right=t right_format=2 images=IMAGES inputs=INPUTS outputs=CLASSES input_stride=CLASSES output_stride=1
    store dst=outputs src=acc bytes=sizeof(outputs)

.phase loss 0
    ; The derivative of half the sum of squares: outputs less one-hot targets.
    v.onehot dst=d dst_format=32 src=acc src_format=32 labels=label rows=IMAGES columns=CLASSES shift=ONE
    exponent_of src=d count=IMAGES*CLASSES
    v.shift dst=e dst_format=8 src=d src_format=32 shift=1-8 scale=exponent bits=8 count=IMAGES*CLASSES
    v.shift dst=e_left dst_format=8 src=d src_format=32 shift=1-8 scale=exponent bits=8 count=IMAGES*CLASSES
    store dst=errors src=e_left bytes=sizeof(errors)

.phase error 0
    ; What a layer below would get: errors times the weights turned over. Turning is strides, nothing is moved; the weights
    ; are those from before the update.
    dense out=acc left=e_left right=t right_format=2 images=IMAGES inputs=CLASSES outputs=INPUTS input_stride=1 output_stride=CLASSES
    store dst=below src=acc bytes=sizeof(below)

.phase gradient 0
    ; Inputs times errors, summed over the images: the same window, reduced over positions.
    m.positions out=acc out_format=32 left=a left_format=8 right=e right_format=8 mode=m0 images=IMAGES channels=INPUTS rows=INPUTS columns=CLASSES length=IMAGES image_stride=INPUTS pixel_stride=INPUTS right_stride_0=CLASSES out_stride=CLASSES
    store dst=gradient src=acc bytes=sizeof(gradient)

.phase update 0
    ; The greatest step is about the learning rate; what is smaller than 1 becomes 1 as often as it should on average. The
    ; random word of a weight follows from seed, step and the weight's number, so nothing else changes it.
    exponent_of src=acc count=WEIGHTS
    x.set dst=rate value=LOG2_RATE
    x.sub dst=shift a=exponent b=rate
    v.stochastic dst=step dst_format=8 src=acc src_format=32 scale=shift number=0 random_bits=16 count=WEIGHTS
    v.sub dst=stored a=stored format=8 b=step b_format=8 limit=LIMIT count=WEIGHTS
    store dst=steps src=step bytes=sizeof(steps)
    store dst=weights src=stored bytes=sizeof(weights)
    halt
