untrusted comment: signature from minisign secret key
RWSpvGNQsAx+Gu6/aKByuEoEl++csSIJ082EN6RGZP9SCC+GvazyUdV8RkbnGo4wPFInmswmvgGGynJz/vSQqlKinrcizLJ9LQA=
trusted comment: version 2.4.1
ahkCBorNNmBHiwyBFE6EgidW/Il/Ufl8oNm5rw93YBsqAl4RBOIOcRVyb2NchvCxeXwAxwI6r8f7Mz+8QzrmCw==
