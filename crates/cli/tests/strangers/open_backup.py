"""Opens an encrypted backup with a reader that is not ours, and prints the SHA-256 of every file as JSON, by domain and path.

    open_backup.py READER FOLDER        the password comes on standard input; a wrong one ends with 7
"""

import contextlib
import hashlib
import json
import sys


def iphone_backup_decrypt(folder, password):
    from iphone_backup_decrypt import EncryptedBackup
    from iphone_backup_decrypt.exceptions import IncorrectPassphraseError

    backup = EncryptedBackup(backup_directory=folder, passphrase=password)
    try:
        backup.test_decryption()
    except IncorrectPassphraseError:
        sys.exit(7)
    with backup.manifest_db_cursor() as cursor:
        rows = cursor.execute("SELECT domain, relativePath FROM Files WHERE flags = 1").fetchall()
    for domain, path in rows:
        yield domain, path, backup.extract_file_as_bytes(path, domain_like=domain)


def pyiosbackup(folder, password):
    from cryptography.hazmat.primitives.keywrap import InvalidUnwrap
    from pyiosbackup import Backup

    try:
        backup = Backup.from_path(folder, password)
    except InvalidUnwrap:
        sys.exit(7)
    for file in backup.iter_files():
        yield file.domain, file.relative_path, file.read_bytes()


readers = {reader.__name__: reader for reader in (iphone_backup_decrypt, pyiosbackup)}
reader, folder = sys.argv[1:]
password = sys.stdin.read()
found = {}
# What a reader has to remark goes where it does not disturb.
with contextlib.redirect_stdout(sys.stderr):
    for domain, path, content in readers[reader](folder, password):
        name = f"{domain}/{path}"
        assert name not in found, name
        found[name] = hashlib.sha256(content).hexdigest()
json.dump(found, sys.stdout)
