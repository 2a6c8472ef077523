.include "../round.s"
