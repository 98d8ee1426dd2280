/// The page that shows a coordinator: it asks for `api/view` every two seconds. What comes from elsewhere, such as names of
/// workers, is put in as text, never as HTML, and the server's policy lets nothing else be loaded or run.
public enum StatusPage {
  public static let html: StaticString = """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>expomerge</title>
    <link rel="stylesheet" href="page.css">
    <link rel="icon" href="data:,">
    <script src="page.js" defer></script>
    </head>
    <body>
    <main>
    <header><h1 id="title">expomerge</h1><p class="note" id="subtitle">waiting for the coordinator</p></header>
    <p id="trouble" class="trouble" role="status" hidden></p>
    <div class="tiles" id="tiles"></div>
    <section><h2>Output of the last five minutes</h2>
    <div class="graph" id="graph"></div><div class="ends"><span>5 min ago</span><span id="peak"></span><span>now</span></div></section>
    <section><h2>Jobs</h2><div id="jobs"></div><p class="note" id="no-jobs">There are none.</p></section>
    <section><h2>Workers</h2><div class="scroll"><table id="workers"><thead><tr><th scope="col">name</th><th scope="col">state</th>\
    <th scope="col">slots in use</th><th scope="col">output</th><th scope="col">shards</th><th scope="col">failures</th>\
    <th scope="col">heard</th><th scope="col">version</th></tr></thead><tbody></tbody></table></div>\
    <p class="note" id="no-workers">There are none.</p></section>
    <section><h2>Events</h2><ul class="events" id="events"></ul><p class="note" id="no-events">There were none.</p></section>
    <footer>Also here: <a href="metrics">metrics</a>, <a href="api/jobs">api/jobs</a>, <a href="api/workers">api/workers</a>, \
    <a href="healthz">healthz</a>, <a href="readyz">readyz</a>. This page only reads.</footer>
    <noscript><p class="trouble">Without JavaScript, see api/jobs and api/workers, or run expomerge status.</p></noscript>
    </main>
    </body>
    </html>
    """

  public static let style: StaticString = """
    :root{color-scheme:light dark;--ground:#fff;--panel:#f4f6f8;--line:#d5dbe1;--text:#17202a;--quiet:#52606d;--bar:#2f7fc1;
    --good:#1a7f4b;--warn:#9a5b00;--bad:#b42318}
    @media (prefers-color-scheme:dark){:root{--ground:#11161c;--panel:#1b222b;--line:#36414d;--text:#e6ebf0;--quiet:#a3b0bd;--bar:#4592d3;
    --good:#4cc38a;--warn:#f5a524;--bad:#ff8a7a}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif}
    main{max-width:1180px;margin:0 auto;padding:20px 16px 40px}
    h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
    h2{font-size:18px;margin:30px 0 8px}
    p{margin:6px 0}
    a{color:inherit}
    .note,footer{color:var(--quiet);font-size:14px;overflow-wrap:anywhere}
    footer{margin-top:36px;border-top:1px solid var(--line);padding-top:10px}
    .trouble{border-left:5px solid var(--bad);background:var(--panel);padding:8px 12px;border-radius:4px}
    .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;margin-top:16px}
    .tile{background:var(--panel);border-radius:8px;padding:10px 12px}
    .tile b{display:block;font-size:19px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
    .tile span{color:var(--quiet);font-size:13px}
    .graph{display:flex;align-items:flex-end;gap:1px;height:110px;border-bottom:1px solid var(--line)}
    .graph i{flex:1;min-width:0;background:var(--bar);border-radius:2px 2px 0 0}
    .ends{display:flex;justify-content:space-between;gap:12px;color:var(--quiet);font-size:13px}
    .job{background:var(--panel);border-radius:8px;padding:12px 14px;margin-bottom:10px}
    .head{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline;justify-content:space-between}
    .head b{overflow-wrap:anywhere}
    .head span{white-space:nowrap;font-variant-numeric:tabular-nums}
    .bar{height:12px;border-radius:6px;background:var(--line);overflow:hidden;margin:8px 0}
    .bar i{display:block;height:100%;background:var(--bar)}
    .complete .bar i{background:var(--good)}
    .failed .bar i,.cancelled .bar i{background:var(--bad)}
    .state{font-weight:600}
    .complete .state{color:var(--good)}
    .failed .state,.level-error,.level-critical{color:var(--bad)}
    .cancelled .state,.level-warning,.problem{color:var(--warn)}
    .failed .problem{color:var(--bad)}
    details{margin-top:6px}
    summary{cursor:pointer;color:var(--quiet);font-size:14px}
    .file{display:grid;grid-template-columns:minmax(0,2fr) minmax(60px,1fr) 4.5em;gap:10px;align-items:center;font-size:14px}
    .file span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
    .file .bar{margin:0}
    .file .number{text-align:right;font-variant-numeric:tabular-nums}
    .scroll{overflow-x:auto;padding-bottom:4px}
    table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;width:100%}
    th{font-weight:400;color:var(--quiet);font-size:13px;white-space:nowrap}
    th,td{padding:4px 12px 4px 0;text-align:right;white-space:nowrap}
    th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}
    td:first-child{max-width:260px;overflow:hidden;text-overflow:ellipsis}
    tbody tr{border-top:1px solid var(--line)}
    .events{list-style:none;margin:0;padding:0;font-size:14px}
    .events li{border-top:1px solid var(--line);padding:4px 0;overflow-wrap:anywhere;display:grid;grid-template-columns:5.5em 1fr;gap:10px}
    .events time{color:var(--quiet);font-variant-numeric:tabular-nums}
    [hidden]{display:none!important}
    @media (max-width:600px){.tiles{grid-template-columns:1fr 1fr}}
    """
}
