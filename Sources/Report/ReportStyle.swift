extension Report {
  /// CSS. The steps of the palette are one hue from pale to deep; on a dark ground from deep to pale.
  static let style: StaticString = """
    :root{color-scheme:light dark;--ground:#fff;--panel:#f4f6f8;--line:#d5dbe1;--text:#17202a;--quiet:#52606d;--mark:#b45309;\
    --good:#1a7f4b;--bad:#b42318;--c0:#e3edf8;--c1:#c6dbef;--c2:#9ecae1;--c3:#6baed6;--c4:#4292c6;--c5:#2171b5;--c6:#08457e}
    @media (prefers-color-scheme:dark){:root{--ground:#11161c;--panel:#1b222b;--line:#36414d;--text:#e6ebf0;--quiet:#a3b0bd;--mark:#f5a524;\
    --good:#4cc38a;--bad:#ff8a7a;--c0:#142a42;--c1:#173d66;--c2:#1b558c;--c3:#2470b3;--c4:#4592d3;--c5:#82b9e8;--c6:#cfe5f8}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif}
    main{max-width:1180px;margin:0 auto;padding:20px 16px 40px}
    h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
    h2{font-size:18px;margin:34px 0 8px}
    h3{font-size:15px;margin:16px 0 4px}
    p{margin:6px 0}
    ul{margin:6px 0;padding-left:20px}
    li,.note,footer{overflow-wrap:anywhere}
    .note,footer{color:var(--quiet);font-size:14px}
    footer{margin-top:36px;border-top:1px solid var(--line);padding-top:10px}
    .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin-top:18px}
    .tile{background:var(--panel);border-radius:8px;padding:10px 12px}
    .tile b{display:block;font-size:19px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
    .tile span{color:var(--quiet);font-size:13px}
    .verdict{font-size:17px;font-weight:600;border-left:5px solid var(--mark);padding-left:10px}
    .verdict.preference-training{border-color:var(--good)}
    .verdict.different-base,.verdict.identical{border-color:var(--bad)}
    .scroll{overflow-x:auto;padding-bottom:4px}
    table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
    th{text-align:left;font-weight:500;overflow-wrap:anywhere;min-width:110px}
    thead th{color:var(--quiet);font-size:13px;font-weight:400;text-align:right;min-width:0;white-space:nowrap;overflow-wrap:normal}
    thead th:first-child{text-align:left}
    td{text-align:right;white-space:nowrap}
    th,td{padding:3px 10px 3px 0}
    tbody tr{border-top:1px solid var(--line)}
    .facts td{text-align:left;white-space:normal;overflow-wrap:anywhere}
    .bar{display:inline-block;width:150px;height:12px;background:var(--panel);border-radius:3px}
    .bar span{display:block;height:12px;background:var(--c4);border-radius:3px}
    .bar.marked span{background:var(--mark)}
    .heat{display:grid;gap:1px;align-items:stretch;font-size:12px;min-width:min-content}
    .heat i{min-height:18px;border-radius:2px}
    .row{position:sticky;left:0;background:var(--ground);padding-right:8px;line-height:18px;white-space:nowrap;max-width:190px;\
    overflow:hidden;text-overflow:ellipsis}
    .column{color:var(--quiet);white-space:nowrap;width:0;line-height:18px}
    .corner{color:var(--quiet)}
    .legend{display:flex;flex-wrap:wrap;gap:4px 14px;margin-top:8px;font-size:12px;color:var(--quiet)}
    .key i{display:inline-block;width:14px;height:14px;border-radius:2px;margin-right:5px;vertical-align:-2px}
    .zero{border:1px solid var(--line)}
    .c0{background:var(--c0)}.c1{background:var(--c1)}.c2{background:var(--c2)}.c3{background:var(--c3)}
    .c4{background:var(--c4)}.c5{background:var(--c5)}.c6{background:var(--c6)}
    .histogram{max-width:720px;margin:8px 0 22px}
    .columns{display:flex;align-items:flex-end;gap:1px;height:140px;border-bottom:1px solid var(--line)}
    .columns span{flex:1;height:100%;display:flex;align-items:flex-end;min-width:0}
    .columns i{display:block;width:100%;background:var(--c4);border-radius:2px 2px 0 0}
    @media (max-width:600px){.bar{width:64px}tbody th{min-width:135px}.tiles{grid-template-columns:1fr 1fr}}
    .ends{display:flex;justify-content:space-between;color:var(--quiet);font-size:13px}
    """
}
