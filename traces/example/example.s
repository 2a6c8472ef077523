; What the golden traces of this folder are of: a product in registers of 10 bits that saturate, and codes of 8 bits made of it.

.tensor {"name":"a","bits":8,"signed":true,"shape":[3,5],"initial":{"values":[1,2,3,4,5,100,90,80,70,60,-100,-1,0,1,100]}}
.tensor {"name":"b","bits":8,"signed":true,"shape":[5,4],"initial":{"values":[1,-1,2,7,1,-1,2,7,1,-1,2,7,1,-1,2,7,1,-1,2,7]}}
.tensor {"name":"codes","bits":8,"signed":true,"shape":[3,4]}

.place left = operand bytes=sizeof(a)
.place right = weight bytes=sizeof(b)
.place acc = accumulator bytes=24
.place out = operand bytes=sizeof(codes)

main:
    mode dst=m0 bits=10 overflow=saturate outer_bits=10
    load dst=left src=a bytes=sizeof(a)
    load dst=right src=b bytes=sizeof(b)
    m.taps out=acc out_format=16 left=left left_format=8 right=right right_format=8 mode=m0 images=3 channels=5 rows=3 columns=4 length=5 image_stride=5 pixel_stride=5 right_stride_2=4 out_stride=4
    x.set dst=x1 value=0
    loop count=2
        v.maxabs dst=x1 src=acc src_format=16 count=12
    end
    x.exponent dst=x2 a=x1
    v.shift dst=out dst_format=8 src=acc src_format=16 shift=-6 scale=x2 bits=8 count=12
    store dst=codes src=out bytes=sizeof(codes)
    halt
