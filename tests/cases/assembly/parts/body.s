    v.relu dst=codes src=codes format=WIDTH count=N
