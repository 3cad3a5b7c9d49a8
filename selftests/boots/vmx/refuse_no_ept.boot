# A CPU without EPT.
cpu=penryn
script=refuse.sh "CPU without EPT" EOPNOTSUPP EPT
