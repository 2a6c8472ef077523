; names, macros and tensors of other files
.include "parts/sizes.s"
.include "parts/inner/fetch.s"   ; which includes what stands beside it
.tensor {"name":"a","bits":8,"signed":true,"shape":[16]}
main:
    fetch to=codes from=a
.include "parts/body.s"
    halt
