# IA32_FEATURE_CONTROL locked without VMX by the firmware.
cpu=haswell-locked
script=refuse.sh "locked by firmware" EACCES VMX firmware
