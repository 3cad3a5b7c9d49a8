# A CPU without VMX.
cpu=prescott
script=refuse.sh "CPU without VMX" ENODEV VMX
