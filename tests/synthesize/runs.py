"""Folders as runs leave them, made by hand: what a reader of runs is tested with."""

import hashlib
import json
import struct
import zlib


def digest(text):
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def png(width=2, height=2):
    """A small white picture."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + b"\xff" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def lesion(pixels, center=(0.5, 0.5), classes=(1,), mm=None):
    return {"classes": list(classes), "pixels": pixels, "mm": mm, "center": list(center)}


def case(name, part="train", patient=None, lesions=(), shape=(100, 100), labels=None, **changes):
    record = {"schema": 1, "id": name, "patient": patient, "part": part, "phash": "ab" * 8}
    record["files"] = {f"images/{name}.png": {"sha256": digest(name), "bytes": 9}}
    if part == "train":
        pixels = sum(x["pixels"] for x in lesions)
        labels = labels or {"0": shape[0] * shape[1] - pixels, "1": pixels}
        record |= {"shape": list(shape), "spacing_mm": None, "background": True, "source": bool(lesions)}
        record |= {"label_pixels": labels, "lesions": list(lesions)}
    return record | changes


def sample(number, background, source, pasted, labels, **changes):
    """Parents are (id, patient), and of a lesion of a bank its row as well."""
    name = f"synth_{number:06d}"
    parents = [dict(zip(("id", "patient", "bank_row"), parent, strict=False)) for parent in (background, source)]
    tries = [{"background": background[0], "source": source[0], "status": "pasted"}]
    record = {"schema": 1, "id": name, "number": number, "status": "pasted", "code": "0.1.0", "tries": tries}
    record |= {"config_sha256": digest("config"), "problems": [], "background": parents[0], "source": parents[1]}
    record |= {"seed": number, "lesion_labels": [1], "other_labels": [], "placement": {}, "params": {}}
    record |= {"label_pixels": labels, "lesion": pasted, "files": {"image": f"images/{name}.png"}}
    return record | changes


def failed(number, status, *tried):
    tries = [{"background": "a", "source": "b", "status": each} for each in (*tried, status)]
    return {
        "schema": 1, "id": f"synth_{number:06d}", "number": number, "status": status, "code": "0.1.0",
        "config_sha256": digest("config"), "tries": tries, "problems": [], "files": {},
    }  # fmt: skip


def write_lines(path, records):
    with path.open("w", encoding="utf-8") as file:  # JSON's own escapes: a name need not be UTF-8
        file.writelines(json.dumps(record) + "\n" for record in records)


def write_run(out, cases, samples, *, data="/data/of mine/set", arguments=None, sheet=True, **summary):
    """Writes what a run leaves, but for its images."""
    out.mkdir(parents=True, exist_ok=True)
    run = {"schema": 1, "softcp_gpu": "0.1.0", "torch": "2.13.0", "python": "3.11.7", "data": data}
    run |= {"arguments": {"data": data, "ratio": "3:1"} | (arguments or {})}
    run |= {"config_sha256": digest("config"), "data_sha256": digest("data")}
    split = {part: [x["id"] for x in cases if x["part"] == part] for part in ("train", "val", "test")}
    pasted = sum(record["status"] == "pasted" for record in samples)
    content = {"softcp_gpu": "0.1.0", "layout": "pairs", "split": "by chance, 5:1:1", "region": "none"}
    content |= {"lesion_labels": [1], "seed": 7, "device": "cpu", "config": {"match": "rim", "k_erode": [1, 2]}}
    content |= {"augmentation": ["SoftCP(", "  match='rim')"], "real": len(split["train"])}
    content |= {"requested": len(samples), "written": pasted, "statuses": {}, "tries": {}, "problems": []}
    content |= {"near_duplicates": []}
    (out / "run.json").write_text(json.dumps(run))
    (out / "split.json").write_text(json.dumps(split))
    (out / "summary.json").write_text(json.dumps(content | summary))
    write_lines(out / "inputs.jsonl", cases)
    write_lines(out / "samples.jsonl", samples)
    if sheet:
        (out / "contact_sheet.png").write_bytes(png())
    return out


def images(out, **changes):
    """Four training cases of three patients and two held-out ones; three samples, of which one could not be made."""
    cases = [
        case("a", patient="p1", lesions=[lesion(100, (0.2, 0.3)), lesion(1000, (0.7, 0.7))]),
        case("b", patient="p1", lesions=[lesion(400, (0.4, 0.6))]),
        case("c", patient="p2"),
        case("d", patient="p3", lesions=[lesion(500, (0.5, 0.5))]),
        case("v", "val", "p4"),
        case("t", "test", "p5"),
    ]
    samples = [
        sample(0, ("c", "p2"), ("b", "p1"), lesion(400, (0.8, 0.2)), {"0": 9600, "1": 400}),
        failed(1, "no_legal_place", "lesion_too_small"),
        sample(2, ("a", "p1"), ("b", "p1"), lesion(300, (0.9, 0.1)), {"0": 8600, "1": 1400}),
    ]
    return write_run(out, changes.pop("cases", cases), changes.pop("samples", samples), **changes)


def volumes(out, **changes):
    """Three volumes with two classes of lesions in an organ, 3, beside a set of two samples; millimetres are known."""
    frame, mm = (20, 40, 40), 2.5
    shares = [((0.5, 0.2, 0.3), (1,)), ((0.25, 0.75, 0.5), (2,)), ((0.8, 0.5, 0.6), (1, 2))]
    cases = []
    for k, (center, classes) in enumerate(shares):
        size = 100 * (k + 1)
        labels = {"0": 30000 - size, "3": 2000, **{str(label): size // len(classes) for label in classes}}
        cases.append(case(f"v{k}", patient=f"p{k}", shape=frame, labels=labels,
                          lesions=[lesion(size, center, classes, size * mm)]))  # fmt: skip
    samples = [
        sample(k, (f"v{k}", f"p{k}"), ("v2", "p2"), lesion(150, (0.4, 0.4, 0.1), (2,), 150 * mm),
               {"0": 29000, "2": 150, "3": 1900}) for k in range(2)
    ]  # fmt: skip
    held_out = [case("h", "test", "p9")]
    return write_run(out, [*cases, *held_out], samples, layout="nnunet", lesion_labels=[1, 2], **changes)
