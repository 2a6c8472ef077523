; What only the whole program shows points at its line, too.
.program {"dram_bytes":64}
.tensor {"name":"a","bits":8,"signed":true,"shape":[64]}
.tensor {"name":"b","bits":8,"signed":true,"shape":[64]}
main:
    halt
