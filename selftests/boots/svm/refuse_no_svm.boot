# A CPU without SVM.
cpu=max,-svm
script=refuse.sh "CPU without SVM" ENODEV SVM
