# A CPU without nested paging.
cpu=max,-npt
script=refuse.sh "CPU without nested paging" EOPNOTSUPP "nested paging"
