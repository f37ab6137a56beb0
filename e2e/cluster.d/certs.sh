# shellcheck shell=bash
# Certificates and kubeconfigs. Every function works in a folder given to it.

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2> /dev/null; }

new_ca() {
  command -v openssl > /dev/null || die "certificates are made by openssl, which is not on PATH"
  mkdir -p "$1"
  printf '[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=unused\n' > "$1/openssl.cnf"
  new_key "$1/ca.key"
  openssl req -config "$1/openssl.cnf" -x509 -new -key "$1/ca.key" -days 3650 -subj /CN=phasegate-cluster \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature -out "$1/ca.crt"
  new_key "$1/service-accounts.key"
}

# issue FOLDER NAME SUBJECT [ALTERNATIVE NAMES]
issue() {
  local san=()
  [ -z "${4:-}" ] || san=(-addext "subjectAltName=$4")
  new_key "$1/$2.key"
  openssl req -config "$1/openssl.cnf" -x509 -new -key "$1/$2.key" -days 3650 -subj "$3" -CA "$1/ca.crt" -CAkey "$1/ca.key" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext extendedKeyUsage=serverAuth,clientAuth "${san[@]}" -out "$1/$2.crt" 2> /dev/null
}

# kubeconfig FOLDER NAME SERVER FILE: self-contained, for the certificate NAME.
kubeconfig() {
  cat > "$4" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: phasegate
  cluster:
    server: $3
    certificate-authority-data: $(base64 -w0 "$1/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$1/$2.crt")
    client-key-data: $(base64 -w0 "$1/$2.key")
contexts:
- name: phasegate
  context: {cluster: phasegate, user: $2}
current-context: phasegate
EOF
}
