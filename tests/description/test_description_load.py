"""What the loader makes of good descriptions, and what it refuses beyond the schema."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from checker.description.load import load, load_device
from checker.description.model import ArtifactRef, Command, Description, Device, Place
from checker.errors import DescriptionError, ExitStatus, InputError
from checker.io.files import Files
from checker.model.terms import Party, Severity, Step, Tier

Read = Callable[..., Description]
Faults = Callable[..., list[str]]
Write = Callable[..., Path]

DEVICE = "otaudit: device/1\nvendor: Acme\nmodel: GW-200\n"
UPDATE = "otaudit: update/1\ndevice: device.yaml\nid: gw200-2.4.1\nversion: 2.4.1\n"

# --- Values -----------------------------------------------------------------------------------------------------------


def test_the_shortest_description_knows_nothing_more(write: Write) -> None:
    path = write()
    read = load(path)
    assert (read.id, read.version, read.file, read.folder) == ("gw200-2.4.1", "2.4.1", "update.yaml", str(path.parent))
    assert read.sha256 == hashlib.sha256(UPDATE.encode()).hexdigest()
    device_sha256 = hashlib.sha256(DEVICE.encode()).hexdigest()
    assert read.device == Device(file="device.yaml", sha256=device_sha256, vendor="Acme", model="GW-200")
    assert (read.artifacts, read.logs, read.endpoints, read.documents, dict(read.steps), dict(read.claims)) == (
        (),
        (),
        (),
        (),
        {},
        {},
    )


@pytest.mark.parametrize("version", ["1.10", "2.4", "2", "010", "1e3", "no", "2026-10-01", "12:30", "'1.10'"])
def test_a_version_keeps_the_characters_that_were_written(write: Write, version: str) -> None:
    assert load(
        write(update=UPDATE.replace("2.4.1\n", f"{version}\n").replace("gw200-", "x"))
    ).version == version.strip("'")


def test_an_artifact_without_further_words_is_a_current_deliverable_named_by_its_path(read: Read) -> None:
    (artifact,) = read("artifacts:\n  - file: out/a.swu\n").artifacts
    assert artifact == ArtifactRef(
        file=artifact.file,
        place=Place("update.yaml", 6, 5),
        id="out/a.swu",
        format="auto",
        role="deliverable",
        release="current",
    )
    assert (artifact.file.path, artifact.file.place) == ("out/a.swu", Place("update.yaml", 6, 11))


def test_an_artifact_keeps_every_word(read: Read) -> None:
    text = (
        "artifacts:\n  - {file: a, id: x, format: mcuboot, role: recovery, device: 7, release: '1',\n"
        f"     target: t, signature: s, decryption_key: k1, decryption_keys: [k2, k3], plaintext_sha256: {'AB' * 32},\n"
        "     options: {base: 0x100, raw: true}}\n"
    )
    (artifact,) = read(text, device_more="targets: [{id: t}]\n").artifacts
    assert (artifact.id, artifact.format, artifact.role, artifact.device, artifact.release) == (
        "x",
        "mcuboot",
        "recovery",
        "7",
        "1",
    )
    assert artifact.signature is not None
    assert artifact.signature.path == "s"
    assert [key.path for key in artifact.decryption_keys] == ["k1", "k2", "k3"]
    assert (artifact.plaintext_sha256, dict(artifact.options)) == ("ab" * 32, {"base": "0x100", "raw": "true"})


def test_no_value_of_the_yaml_room_leaves_it(read: Read) -> None:
    found = read("artifacts: [{file: a, options: {b: 1}}]\nsteps: {stage: {preconditions: [{name: a, test: b}]}}\n")
    details = found.steps[Step.STAGE].details["preconditions"]
    assert details == ({"name": "a", "test": "b"},)
    for value in (found.version, found.artifacts[0].id, found.artifacts[0].options["b"], details[0]["name"]):
        assert type(value) is str


def test_the_inventory_is_read_from_the_list_and_from_a_file_alike(read: Read) -> None:
    keys = "  - {id: k, file: k.pem, size: 256, purposes: [tls], expires: 2027-01-01T00:00:00Z, device: A}\n"
    inline = read(device_more="key_inventory:\n" + keys).device
    named = read(device_more="key_inventory: keys.yaml\n", keys="otaudit: key-inventory/1\nkeys:\n" + keys).device
    assert inline.keys is not None
    assert named.keys is not None
    assert (inline.keys[0].size, inline.keys[0].purposes, inline.keys[0].expires) == (
        256,
        ("tls",),
        "2027-01-01T00:00:00Z",
    )
    assert inline.keys[0].place == Place("device.yaml", 5, 5)
    assert named.keys[0].place == Place("keys.yaml", 3, 5)
    assert (inline.key_inventory_file, named.key_inventory_file and named.key_inventory_file.path) == (
        None,
        "keys.yaml",
    )


def test_no_inventory_is_not_an_empty_inventory(read: Read) -> None:
    assert read().device.keys is None
    assert read(device_more="key_inventory: []\n").device.keys == ()


def test_a_step_of_the_update_replaces_the_words_of_the_device(read: Read) -> None:
    found = read("steps: {sign: {by: b}}\n", device_more="steps: {sign: {who: a}, send: {who: c}}\n")
    assert (found.steps[Step.SIGN].who, found.steps[Step.SIGN].by, found.steps[Step.SIGN].place.file) == (
        "",
        "b",
        "update.yaml",
    )
    assert (found.steps[Step.SEND].who, found.steps[Step.SEND].place.file) == ("c", "device.yaml")
    assert found.device.steps[Step.SIGN].who == "a"


def test_documents_and_attestations_of_both_files_come_together(read: Read) -> None:
    entry = "documents: [{{id: {0}, file: {0}.md, clause: 4.20}}]\nattestations: [{{file: {0}.cbor, proves: boot}}]\n"
    found = read(entry.format("u"), device_more=entry.format("d"))
    assert [(item.id, item.clause, item.party) for item in found.documents] == [
        ("d", "4.20", Party.FIRST),
        ("u", "4.20", Party.FIRST),
    ]
    assert [(item.file.path, item.kind) for item in found.attestations] == [("d.cbor", "auto"), ("u.cbor", "auto")]


def test_a_gate_of_one_word_asks_every_step(read: Read) -> None:
    assert read("policy: {gate: upgraded}\n").policy.gate == dict.fromkeys(Step, Tier.UPGRADED)
    assert read("policy: {gate: {sign: upgraded}}\n").policy.gate == {Step.SIGN: Tier.UPGRADED}


def test_the_policy_of_the_update_goes_first_and_the_waivers_of_both_count(read: Read) -> None:
    waiver = "waivers: [{{requirement: SIGN-{0}, owner: o, reason: for some time, expires: 2026-12-31}}]"
    device = f"policy: {{reading: modern, gate: basic, fail_on_findings: low, {waiver.format('U1')}}}\n"
    update = f"policy: {{fail_on_findings: high, {waiver.format('U2')}}}\n"
    policy = read(update, device_more=device).policy
    assert (policy.reading, policy.fail_on_findings, policy.send_endpoint) == ("modern", Severity.HIGH, "device")
    assert policy.gate[Step.SIGN] is Tier.BASIC
    assert [item.requirement for item in policy.waivers] == ["SIGN-U2", "SIGN-U1"]


def test_endpoints_logs_and_commands_are_read(read: Read) -> None:
    found = read(
        "endpoints: [{url: 'https://x/y', step: cleanup, client_identity: {cert: c, key: k}}]\n"
        "logs: [{file: l, device: A, external: true}, {file: m}]\n"
        "verifier: {adapter: command, argv: [./v, 1.0], args: {strict: true}}\n"
    )
    (endpoint,) = found.endpoints
    assert (endpoint.id, endpoint.step) == ("https://x/y", Step.CLEANUP)
    assert [item and item.path for item in (endpoint.client_certificate, endpoint.client_key)] == ["c", "k"]
    assert [(log.file.path, log.device, log.external) for log in found.logs] == [("l", "A", True), ("m", "", False)]
    assert found.verifier == Command(
        adapter="command", argv=("./v", "1.0"), args={"strict": "true"}, place=Place("update.yaml", 7, 11)
    )


def test_a_device_may_stand_in_the_update(write: Write) -> None:
    update = UPDATE.replace("device.yaml", "{otaudit: device/1, vendor: A, model: 2.10, trust: {logs: {keys: k.pem}}}")
    device = load(write(update=update)).device
    assert (device.model, device.file, device.trust_logs.keys[0].path) == ("2.10", "update.yaml", "k.pem")


def test_a_fault_of_a_device_in_the_update_has_the_whole_path(write: Write) -> None:
    with pytest.raises(
        DescriptionError, match=r"^update\.yaml:2:\d+: \$\.device: unknown key 'modle'; did you mean 'model'"
    ):
        load(write(update=UPDATE.replace("device.yaml", "{otaudit: device/1, vendor: A, model: B, modle: C}")))


def test_load_device_reads_a_device_alone(write: Write) -> None:
    path = write(device=DEVICE + "trust: {images: {anchors: a.pem}}\n").parent / "device.yaml"
    assert load_device(path).trust_images.anchors[0].path == "a.pem"
    assert load_device(path) == load(path.parent / "update.yaml").device


# --- References -------------------------------------------------------------------------------------------------------

TARGETS = "targets: [{id: main}, {id: radio}]\n"
# (added to the update, added to the device, file:line:column, words)
REFERENCES = [
    (
        "artifacts: [{file: a, target: raido}]\n",
        TARGETS,
        "update.yaml:5:31",
        "is no hardware target of the device; did you mean 'radio'?",
    ),
    (
        "artifacts: [{file: a, target: main}]\n",
        "",
        "update.yaml:5:31",
        "is no hardware target of the device; none is described",
    ),
    ("steps: {distribute: {paths: [{target: mian}]}}\n", TARGETS, "update.yaml:5:39", "did you mean 'main'?"),
    ("", TARGETS + "steps: {distribute: {paths: [{target: mian}]}}\n", "device.yaml:5:39", "did you mean 'main'?"),
    (
        "",
        "targets: [{id: m, image_key: kay}]\nkey_inventory: [{id: key}]\n",
        "device.yaml:4:30",
        "is no key of the inventory; did you mean 'key'?",
    ),
    (
        "artifacts: [{file: a, device: A}]\nlogs: [{file: l, device: B}]\n",
        "",
        "update.yaml:6:26",
        "'B' is no device of an artifact or key",
    ),
    (
        "artifacts: [{file: a}, {file: a}]\n",
        "",
        "update.yaml:5:31",
        "'a' is here twice; the first is at update.yaml:5:13; give each an id",
    ),
    ("artifacts: [{file: a, id: x}, {file: b, id: x}]\n", "", "update.yaml:5:45", "'x' is here twice"),
    ("artifacts: [{file: a, id: b}, {file: b}]\n", "", "update.yaml:5:38", "'b' is here twice"),
    ("logs: [{file: l}, {file: l}]\n", "", "update.yaml:5:26", "'l' is here twice"),
    (
        "endpoints: [{url: 'https://x'}, {url: 'https://x', step: send}]\n",
        "",
        "update.yaml:5:39",
        "give each an id of its own",
    ),
    ("", "targets: [{id: m}, {id: m}]\n", "device.yaml:4:25", "'m' is here twice"),
    ("", "key_inventory: [{id: k}, {id: k}]\n", "device.yaml:4:31", "'k' is here twice"),
    (
        "documents: [{id: d, file: a}]\n",
        "documents: [{id: d, file: b}]\n",
        "update.yaml:5:18",
        "the first is at device.yaml:4:13",
    ),
    ("", "documents: [{id: d, file: a}, {id: d, file: b}]\n", "device.yaml:4:36", "'d' is here twice"),
    (
        "",
        "key_inventory: [{id: k, activated: 2026-02-01, expires: 2026-01-31}]\n",
        "device.yaml:4:57",
        "expires lies before activated (2026-02-01)",
    ),
    (
        "",
        "key_inventory: [{id: k, created: 2026-02-01, expires: 2026-01-31}]\n",
        "device.yaml:4:55",
        "expires lies before created",
    ),
    (
        "steps: {stage: {preconditions: [{name: a, test: b}], none_needed: for a reason}}\n",
        "",
        "update.yaml:5:67",
        "both cannot hold",
    ),
    (
        "steps: {apply: {coordination: [defer], coordination_reason: for a reason}}\n",
        "",
        "update.yaml:5:61",
        "both cannot hold",
    ),
    ("endpoints: [{url: 'https://joe:pw@x/'}]\n", "", "update.yaml:5:19", "user name or password"),
    ("endpoints: [{url: 'https://x:99999/'}]\n", "", "update.yaml:5:19", "is not a usable address"),
    ("endpoints: [{url: 'https://[::1/'}]\n", "", "update.yaml:5:19", "is not a usable address"),
    ("endpoints: [{url: 'https://:443/'}]\n", "", "update.yaml:5:19", "names no host"),
]


@pytest.mark.parametrize(("more", "device_more", "place", "words"), REFERENCES)
def test_a_name_that_is_wrong_is_said_at_its_place(
    faults: Faults, more: str, device_more: str, place: str, words: str
) -> None:
    (said,) = faults(more, device_more=device_more)
    assert said.startswith(f"{place}: $.")
    assert words in said


# The near misses of the list above: each differs from an entry by little, and is right.
RIGHT = [
    ("artifacts: [{file: a, target: radio}]\n", TARGETS),
    ("", "targets: [{id: m, image_key: key}]\nkey_inventory: [{id: key}]\n"),
    ("", "targets: [{id: m, image_key: key}]\n"),  # no inventory: nothing to compare with
    ("artifacts: [{file: a, device: A}]\nlogs: [{file: l, device: A}, {file: m}]\n", ""),
    ("logs: [{file: l, device: B}]\n", ""),  # no artifact names a device
    ("artifacts: [{file: a, device: A}]\nlogs: [{file: l, device: B}]\n", "key_inventory: [{id: k, device: B}]\n"),
    ("artifacts: [{file: a}, {file: a, id: b}]\n", ""),
    ("endpoints: [{url: 'https://x'}, {url: 'https://x', id: y, step: send}]\n", ""),
    ("documents: [{id: d, file: a}]\n", "documents: [{id: e, file: a}]\ntargets: [{id: d}]\n"),
    ("", "key_inventory: [{id: k, created: 2026-02-01T10:00:00Z, activated: 2026-02-01, expires: 2026-02-01}]\n"),
    ("endpoints: [{url: 'https://[::1]:8443/a?b=c@d'}, {url: 'coaps://x'}, {url: 'mqtts://x:8883'}]\n", ""),
    ("documents: [{id: d, file: a, proves: [SIGN-U*, SIGN-E3-PK*, PROT-B1, KM14]}]\n", ""),
]


@pytest.mark.parametrize(("more", "device_more"), RIGHT)
def test_the_near_miss_loads(read: Read, more: str, device_more: str) -> None:
    assert read(more, device_more=device_more).version == "2.4.1"


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_missing_artifact_does_not_keep_the_description_from_loading(read: Read) -> None:
    assert read("artifacts: [{file: nowhere.swu}]\n").artifacts[0].file.path == "nowhere.swu"


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", "link/a"])
@pytest.mark.parametrize(
    "where",
    ["artifacts: [{{file: {}}}]\n", "logs: [{{file: a, signature: {}}}]\n", "documents: [{{id: d, file: {}}}]\n"],
)
def test_a_path_that_leads_out_is_refused_at_its_place(faults: Faults, tmp_path: Path, path: str, where: str) -> None:
    (tmp_path / "link").symlink_to("/")
    (said,) = faults(where.format(path))
    assert said.startswith("update.yaml:5:")
    assert "leads out of the description's folder" in said
    assert "--allow-outside" in said


@pytest.mark.parametrize("path", ["./a", "b/../a", "b/a", "...", "..a"])
def test_a_path_that_stays_inside_is_kept_as_written(read: Read, path: str) -> None:
    assert read(f"artifacts: [{{file: {path}}}]\n").artifacts[0].file.path == path


def test_paths_of_a_device_in_another_folder_start_there_and_open_from_the_update(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "trust").mkdir(parents=True)
    (models / "trust" / "root.pem").write_text("root")
    (models / "keys" / "more").mkdir(parents=True)
    (models / "keys" / "more" / "k.pem").write_text("key")
    (models / "gw.yaml").write_text(
        DEVICE + "trust: {images: {anchors: trust/root.pem}}\nkey_inventory: keys/keys.yaml\n"
        "targets: [{id: m, verifier: {adapter: swupdate, args: {keyring: trust/root.pem}}}]\n"
    )
    (models / "keys" / "keys.yaml").write_text("otaudit: key-inventory/1\nkeys: [{id: k, file: more/k.pem}]\n")
    (tmp_path / "u.yaml").write_text(UPDATE.replace("device.yaml", "models/gw.yaml"))
    found = load(tmp_path / "u.yaml")
    files = Files(Path(found.folder))
    assert found.device.keys is not None
    assert found.device.keys[0].file is not None
    assert files.read(found.device.trust_images.anchors[0].path, 10) == b"root"
    assert files.read(found.device.keys[0].file.path, 10) == b"key"
    assert found.device.targets[0].verifier is not None
    assert found.device.targets[0].verifier.folder == "models"
    assert found.device.file == "models/gw.yaml"
    assert found.device.keys[0].place.file == "models/keys/keys.yaml"


def test_a_device_above_the_update_needs_permission(tmp_path: Path) -> None:
    (tmp_path / "device.yaml").write_text(DEVICE + "trust: {images: {anchors: root.pem}}\n")
    (tmp_path / "root.pem").write_text("root")
    (tmp_path / "rel").mkdir()
    path = tmp_path / "rel" / "update.yaml"
    path.write_text(UPDATE.replace("device.yaml", "../device.yaml"))
    with pytest.raises(DescriptionError, match=r"^update\.yaml:2:9: \$\.device: .*--allow-outside"):
        load(path)
    found = load(path, allow_outside=True)
    assert Files(path.parent, allow_outside=True).read(found.device.trust_images.anchors[0].path, 10) == b"root"


def test_a_device_that_is_not_there_is_said_with_the_nearest_name(write: Write) -> None:
    with pytest.raises(
        DescriptionError, match=r"^update\.yaml:2:9: \$\.device: devise\.yaml: .*did you mean 'device\.yaml'"
    ) as caught:
        load(write(update=UPDATE.replace("device.yaml", "devise.yaml")))
    assert caught.value.exit_status is ExitStatus.BAD_INPUT


def test_an_inventory_that_is_no_yaml_is_said_with_its_own_place(faults: Faults) -> None:
    (said,) = faults(device_more="key_inventory: keys.yaml\n", keys="a: b: c\n")
    assert said.startswith("keys.yaml:1:5: $: not readable as YAML")


def test_an_update_that_names_itself_as_its_device_is_told_so(write: Write) -> None:
    with pytest.raises(
        DescriptionError, match="this file is an update description, where a device description is needed"
    ):
        load(write(update=UPDATE.replace("device.yaml", "update.yaml")))


def test_what_is_no_readable_file_is_an_input_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "nowhere.yaml", tmp_path / "fifo"):
        with pytest.raises(InputError):
            load(path)


def test_a_huge_device_is_refused_without_being_read(write: Write) -> None:
    path = write()
    with (path.parent / "device.yaml").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DescriptionError, match=r"device\.yaml:1:1: \$: the file has 1099511627776 bytes"):
        load(path)


def test_a_path_with_an_impossible_name_is_a_fault_and_not_a_crash(faults: Faults) -> None:
    said = faults(
        f"artifacts: [{{file: {'a/' * 3_000}b}}]\nlogs: [{{file: {'x' * 5_000}}}]\ndocuments: [{{id: d, file: ''}}]\n"
    )
    assert any("the text is empty" in line for line in said)
