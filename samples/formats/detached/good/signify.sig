untrusted comment: verify with signify.pub
RWS3sOO+QFuLYbN3foSH3SVa4U4Ny2SjFY8/mhPk9TcAe/CzJGp8pieJt4LdYO4oBwLOw+o+o2XPkVXO1NNHZ1n/h1Gkyiu+UAo=
