# A CPU with SVM, and a kernel that was told to do without.
append=clearcpuid=svm
script=refuse.sh "kernel told not to use SVM" ENODEV SVM clearcpuid
