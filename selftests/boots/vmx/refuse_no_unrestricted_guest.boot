# A CPU without unrestricted guest.
cpu=lynnfield
script=refuse.sh "CPU without unrestricted guest" EOPNOTSUPP "unrestricted guest"
