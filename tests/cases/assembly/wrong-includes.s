; what is wrong with files that are included
.include parts/sizes.s
.include "parts/nowhere.s"
.include "parts"
.include "parts/round.s"
.include "parts/sizes.s"
.include "parts/faults.s"
.const N = 3
main:
    broken count=4
    halt
