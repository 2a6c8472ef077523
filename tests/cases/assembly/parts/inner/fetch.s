.include "width.s"
.macro fetch to from
    load dst=to src=from bytes=sizeof(from)*WIDTH/8
.endm