-- book.lua: makes a page of the book out of a text, as pandoc's filter.
-- Metadata: source, the text; page, its page's name; kind, how it looks;
-- course, the table that course.sh made; out, where the book is built.
-- Beside the page it writes what the search (out/parts/PAGE.js) and the
-- glossary (out/parts/PAGE.terms) are made of.

local utils = pandoc.utils
local course, page_of, this = {}, {}, {}
local meta, out

local function escape(text)
    return (text:gsub('[&<>"]', { ['&'] = '&amp;', ['<'] = '&lt;',
        ['>'] = '&gt;', ['"'] = '&quot;' }))
end

local function raw(format, ...)
    return pandoc.RawBlock('html', format:format(...))
end

local function html(blocks)
    return (pandoc.write(pandoc.Pandoc(blocks), 'html'):gsub('\n+$', ''))
end

local function contents_of(path)
    local file = io.open(path)
    local text = file and file:read('a')
    if file then
        file:close()
    end
    return text
end

local function write(path, lines)
    local file = assert(io.open(path, 'w'))
    file:write(table.concat(lines, '\n'), #lines > 0 and '\n' or '')
    file:close()
end

-- -- the course ---------------------------------------------------------------
local function read_course(path)
    for line in io.lines(path) do
        local row = {}
        row.page, row.source, row.group, row.module, row.needs, row.name,
            row.title = line:match(('([^\t]*)\t'):rep(6) .. '(.*)')
        row.number = row.page:match('^(%d+%l?)%-')
        row.number = row.number and row.number:gsub('^0', '')
        table.insert(course, row)
        row.place = #course
        page_of[row.source] = row
        if row.page == meta.page then
            this = row
        end
    end
end

local function label(row)
    local number = row.number and
        ('<span class="number">%s</span> '):format(row.number) or ''
    return number .. escape(row.name)
end

local function nav()
    local lines, group = {}, nil
    for _, row in ipairs(course) do
        if row.group ~= group then
            table.insert(lines, (group and '</ul>\n' or '') ..
                ('<p>%s</p>\n<ul>'):format(escape(row.group)))
            group = row.group
        end
        table.insert(lines, ('<li data-lesson="%s"><a href="%s.html"%s>%s</a></li>')
            :format(row.page, row.page, row == this and
                ' aria-current="page"' or '', label(row)))
    end
    return table.concat(lines, '\n') .. '\n</ul>'
end

local function turn()
    local links = {}
    local function link(row, rel, word)
        if row then
            table.insert(links, ('<a rel="%s" href="%s.html"><span>%s</span> %s</a>')
                :format(rel, row.page, word, label(row)))
        end
    end
    if this.place then
        link(course[this.place - 1], 'prev', 'Previous')
        link(course[this.place + 1], 'next', 'Next')
    end
    return table.concat(links, '\n')
end

-- -- links --------------------------------------------------------------------
local function normal(target)
    local parts = {}
    local folder = meta.source:match('^(.*)/') or '.'
    for part in (folder .. '/' .. target):gmatch('[^/]+') do
        if part == '..' then
            table.remove(parts)
        elseif part ~= '.' then
            table.insert(parts, part)
        end
    end
    return table.concat(parts, '/')
end

-- A header that is a lesson's contract stands on the lesson's page.
local function contract_of(path)
    local lesson, module = path:match('^lessons/([^/]+)/([^/]+)%.h$')
    local row = page_of['lessons/' .. (lesson or '') .. '/README.md']
    return row and row.module == module and row
end

local function resolve(link)
    local target, anchor = link.target:match('^([^#]*)(.*)$')
    if target == '' or target:match('^%a+:') then
        return link
    end
    local path = normal(target)
    local row = page_of[path] or contract_of(path)
    if row then
        anchor = page_of[path] and anchor or '#contract'
        link.target = (row == this and anchor ~= '') and anchor or
            row.page .. '.html' .. anchor
    elseif path:match('%.svg$') then
        link.target = path
    elseif io.open(path) then
        link.target = path:gsub('^%.', ''):gsub('/', '_') .. '.html' .. anchor
    else -- a handout has not all files
        return pandoc.Span(link.content)
    end
    return link
end

-- -- promises -----------------------------------------------------------------
local promised = {}

local function promise_at_start(blocks)
    local inlines = blocks[1] and blocks[1].content
    local first = inlines and inlines[1]
    if not first or (first.t ~= 'Str' and first.t ~= 'Strong') then
        return nil
    end
    return utils.stringify(first):match('^%[(P%d+)%]$')
end

local function mark_promises(list)
    for _, item in ipairs(list.content) do
        local id = promise_at_start(item)
        if id then
            promised[id] = true
            item[1].content[1] = pandoc.Strong(
                pandoc.Span('[' .. id .. ']', { id = id, class = 'promise' }))
        end
    end
    return list
end

local function link_promises(str)
    local before, id, after = str.text:match('^(.-)%[(P%d+)%](.*)$')
    if not id or not promised[id] then
        return nil
    end
    return { pandoc.Str(before), pandoc.Link('[' .. id .. ']', '#' .. id, '',
        { class = 'promise' }), pandoc.Str(after) }
end

-- -- charts and pictures ------------------------------------------------------
-- The size that an svg says it has, so that the text does not jump.
local function size(path)
    local head = (contents_of(path) or ''):sub(1, 600)
    local wide, high = head:match('viewBox=["\']0 0 ([%d.]+) ([%d.]+)["\']')
    return wide and (' width="%d" height="%d"'):format(wide // 1, high // 1) or ''
end

local function has_yours(data)
    return ('\n' .. (contents_of(data) or '')):find('\nyours\t') ~= nil
end

local function figure(class, file, path, alt, caption)
    return raw('<figure class="%s"><a href="%s"><img src="%s" alt="%s"%s></a>' ..
        '<figcaption>%s</figcaption></figure>', class, file, file, escape(alt),
        size(path), caption)
end

local function chart(image)
    local path = normal(image.src)
    local name = path:match('^plots/(.*)%.svg$')
    local alt = utils.stringify(image.caption)
    local said = ('<span aria-hidden="true">%s.</span>')
        :format(html(pandoc.Plain(image.caption)):gsub('%.$', ''))
    if not name then
        return nil
    elseif not contents_of(('plots/%s.gp'):format(name)) then
        return figure(name:match('^screen') and 'screen' or 'picture', path,
            path, alt, said)
    end
    local number = name:match('^(%d+%l?)%-'):gsub('^0', '')
    local figures = {}
    if has_yours(('build/plot/%s.tsv'):format(name)) then
        local yours = ('build/plot/%s.svg'):format(name)
        table.insert(figures, figure('chart yours', 'yours/' .. name .. '.svg',
            yours, alt .. ', with your own line', said ..
            ' <span class="made">With your own line, as <code>make plot-' ..
            number .. '</code> drew it here.</span>'))
    end
    table.insert(figures, figure('chart', path, path, alt, said ..
        (' <span class="made">The reference; <code>make plot-%s</code> adds ' ..
        'your line.</span>'):format(number)))
    return figures
end

-- -- what the reader may want to find -----------------------------------------
-- A term is in bold where it is defined, inside a sentence.
local terms, parts = {}, {}

local function is_term(inlines, i)
    local text = utils.stringify(inlines[i])
    local _, blanks = text:gsub(' ', '')
    return i > 1 and blanks < 4 and not text:find('^%[P') and
        not text:find('[.?!:]$')
end

-- In bold, what leads into a paragraph is a sentence, too, and so is [P1].
local function ends_sentence(inline)
    local text = inline.t == 'Str' and inline.text or
        inline.t == 'Strong' and utils.stringify(inline) or ''
    return text:find('[.?!]["\')]*$') or text:find('^%[P%d+%]$')
end

-- Such a beginning means what was said before it.
local back_words = { That = true, This = true, It = true, So = true, Such = true }

-- The sentence around the i-th of the inlines, as HTML.
local function sentence(inlines, i)
    local from, to = i, i
    local function to_the_start()
        while from > 1 and not ends_sentence(inlines[from - 1]) do
            from = from - 1
        end
    end
    local function first_word()
        local blank = inlines[from].t == 'Space' or inlines[from].t == 'SoftBreak'
        return utils.stringify(inlines[blank and from + 1 or from])
    end
    to_the_start()
    if from > 1 and back_words[first_word()] then
        from = from - 1
        to_the_start()
    end
    while to < #inlines and not ends_sentence(inlines[to]) do
        to = to + 1
    end
    local said = pandoc.Plain({ table.unpack(inlines, from, to) }):walk({
        Link = function(link)
            return pandoc.Span(link.content)
        end })
    return html(said):gsub('\n', ' '):gsub('^ ', '')
end

local function find_terms(block)
    local found = {}
    for i, inline in ipairs(block.content) do
        if inline.t == 'Strong' and is_term(block.content, i) then
            table.insert(found, { i, (sentence(block.content, i)) })
        end
    end
    for _, pair in ipairs(found) do
        local i, said = pair[1], pair[2]
        local term = utils.stringify(block.content[i])
        local id = 'term-' .. term:lower():gsub('[^%w]+', '-')
        table.insert(terms, ('%s\t%s\t%s\t%s'):format(term, meta.page, id, said))
        block.content[i] = pandoc.Span(block.content[i], { id = id })
    end
    return block
end

local function quoted(text)
    return '"' .. text:gsub('[%c%s]+', ' '):gsub('["\\]', '\\%0'):gsub('</', '<\\/') .. '"'
end

local function index_sections(blocks)
    local title = this.title or utils.stringify(meta.heading)
    local section = { title = title, id = '', words = {} }
    local function close()
        table.insert(parts, ('bookParts.push({page: %s, title: %s, section: %s, text: %s});')
            :format(quoted(meta.page .. '.html' .. section.id), quoted(title),
                quoted(section.title), quoted(table.concat(section.words, ' '))))
    end
    for _, block in ipairs(blocks) do
        if block.t == 'Header' then
            close()
            section = { title = utils.stringify(block),
                id = '#' .. block.identifier, words = {} }
        elseif block.t ~= 'RawBlock' then
            table.insert(section.words, (utils.stringify(block:walk({
                CodeBlock = function(code)
                    return pandoc.Para(code.text)
                end, SoftBreak = pandoc.Space,
                Para = function(para)
                    para.content:insert(pandoc.Space())
                    return para
                end, Plain = function(plain)
                    plain.content:insert(pandoc.Space())
                    return plain
                end }))))
        end
    end
    close()
end

local function minutes(blocks)
    local words = 0
    for _, block in ipairs(blocks) do
        for _ in utils.stringify(block:walk({ SoftBreak = pandoc.Space }))
            :gmatch('%S+') do
            words = words + 1
        end
    end
    return math.max(1, (words + 100) // 200)
end

-- -- the parts of a page ------------------------------------------------------
local function contract()
    local path = ('lessons/%s/%s.h'):format(this.page, this.module)
    local text = contents_of(path)
    return text and { raw('<details class="contract" id="contract">' ..
        '<summary>The contract: <code>%s.h</code>, whole</summary>', this.module),
        pandoc.CodeBlock(text, { class = 'c' }), raw('</details>') } or {}
end

local function with_contract(blocks)
    if not this.module or this.module == '' then
        return blocks
    end
    local result, in_promises, done = pandoc.List({}), false, false
    for _, block in ipairs(blocks) do
        if block.t == 'Header' and block.level == 2 then
            if in_promises then
                result:extend(contract())
                done = true
            end
            in_promises = block.identifier == 'the-promises'
        end
        result:insert(block)
    end
    if not done then
        result:extend(contract())
    end
    return result
end

local function about(blocks)
    local said = { ('<span>%d minutes to read</span>'):format(minutes(blocks)) }
    local needs = {}
    for lesson in (this.needs or ''):gmatch('%S+') do
        local row = page_of['lessons/' .. lesson .. '/README.md']
        if row then
            table.insert(needs, ('<a href="%s.html">lesson %s</a> (%s)')
                :format(row.page, row.number, row.module))
        end
    end
    if #needs > 0 then
        table.insert(said, '<span>builds on ' .. table.concat(needs, ', ') .. '</span>')
    elseif this.module and this.module ~= '' then
        table.insert(said, '<span>needs no earlier lesson</span>')
    end
    if this.module and this.module ~= '' then
        local more = tonumber(meta.files) - 1
        table.insert(said, ('<span>you write <code>%s.c</code>%s</span>'):format(this.module,
            more > 0 and (' and %d more'):format(more) or ''))
        table.insert(said, ('<span><code>make lesson-%s</code></span>'):format(this.number))
    end
    return table.concat(said, ' ')
end

local function caption_code(block)
    local file = block.attributes.file
    block.attributes = {}
    if not file or not contents_of(file) then
        return block
    end
    local lesson, name = file:match('^tests/([^/]+)/stub/([^/]+)$')
    return { raw('<p class="from">%s</p>', lesson and
        ('lessons/%s/%s, as it is at first'):format(lesson, name) or escape(file)), block }
end

local function frame_table(block)
    return { raw('<div class="table">'), block, raw('</div>') }
end

local function only_image(para)
    local image = #para.content == 1 and para.content[1]
    return image and image.t == 'Image' and chart(image) or nil
end

local function heading(blocks)
    for i, block in ipairs(blocks) do
        if block.t == 'Header' and block.level == 1 then
            local text = html(pandoc.Plain(block.content))
            local before, after = text:match('^(Lesson %w+): (.*)$')
            meta.eyebrow, meta.heading = before, after or text
            blocks:remove(i)
            return
        end
    end
    meta.heading = escape(meta.page)
end

local function as_meta(doc)
    local function put(name, value)
        if value then
            doc.meta[name] = pandoc.MetaBlocks({ pandoc.RawBlock('html', value) })
        end
    end
    put('eyebrow', meta.eyebrow)
    put('heading', meta.heading)
    put('about', meta.about)
    put('nav', nav())
    put('turn', turn())
    doc.meta.pagetitle = this.title or meta.heading:gsub('<[^>]*>', '')
end

function Pandoc(doc)
    meta = {}
    for name, value in pairs(doc.meta) do
        meta[name] = utils.stringify(value)
    end
    out = meta.out
    read_course(meta.course)
    heading(doc.blocks)
    if meta.kind == 'lesson' then
        meta.about = about(doc.blocks)
    end
    index_sections(doc.blocks)
    doc = doc:walk({ BulletList = mark_promises })
    if meta.kind == 'lesson' then
        doc = doc:walk({ Para = find_terms, Plain = find_terms })
    end
    doc.blocks = with_contract(doc.blocks)
    doc = doc:walk({ Str = link_promises, Link = resolve, Para = only_image,
        CodeBlock = caption_code, Table = frame_table })
    as_meta(doc)
    write(('%s/parts/%s.js'):format(out, meta.page), parts)
    write(('%s/parts/%s.terms'):format(out, meta.page), terms)
    return doc
end
